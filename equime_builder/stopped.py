"""What a command says when it is stopped. A module of its own, since nothing else may be imported yet."""

STOPPED = "stopped; what is committed is kept, run the same command to go on"
