"""What calls would send and cost, counted and extrapolated before they are made."""
