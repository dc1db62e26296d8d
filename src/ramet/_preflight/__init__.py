"""What the law says of a call: before the kernel is asked, and after the kernel has refused."""
