"""What people see of results: tables, pages, cards. It shows what was measured and plays nothing."""
