"""What masks do to the biology: profiles, types, neighbours, and the conclusions drawn from them."""
