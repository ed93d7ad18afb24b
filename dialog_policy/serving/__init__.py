"""A trained policy as a service: sessions over HTTP, kept in a store, with a page to chat on. Needs the extra ``serve``."""
