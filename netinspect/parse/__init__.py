"""From a tool's bytes to models. Pure: nothing here runs, opens or asks."""
