"""Data that another program recorded, brought into the raw tables: one file for each format, one way after it."""
