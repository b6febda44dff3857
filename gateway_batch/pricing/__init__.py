"""What requests take and cost: token counts and list prices."""
