"""The subcommands: one module each, importing what they need only when they run."""
