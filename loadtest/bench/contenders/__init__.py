"""The programs that run beside Marea: what a person writes without it, none of them ours."""
