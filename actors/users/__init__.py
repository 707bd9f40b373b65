"""Users: the rows, and the actors that change them."""
