"""Looking: the only step that needs the host. Brings back a bundle, judges nothing, changes nothing."""
