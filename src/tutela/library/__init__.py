"""The library: shipped content and a site's own, read from disk.

The only room that knows where content lies; what a file means is said by the pure rooms `checks` and `agreement`.
"""

from tutela.library.load import load_content

__all__ = ["load_content"]
