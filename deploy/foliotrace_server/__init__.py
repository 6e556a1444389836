"""The edge: settings, composition, HTTP application and command line."""
