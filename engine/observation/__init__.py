"""What is seen and decided at an hour: features, opportunities, encoding, actions, the view."""
