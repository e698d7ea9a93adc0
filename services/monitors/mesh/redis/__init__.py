"""Redis behind the ports that processes share; imported only where there is one."""
