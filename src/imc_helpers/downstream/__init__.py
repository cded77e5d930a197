"""What masks do to the biology: profiles, types, neighbours, and what is concluded from them."""
