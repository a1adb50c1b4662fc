"""What the world can reach: the view of a server from outside."""
