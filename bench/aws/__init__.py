"""What the harness does on an AWS stack: clusters of virtual machines scaled for a session, the driver in the region."""
