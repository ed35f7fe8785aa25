"""The harness on an AWS stack: clusters on EC2 scaled for a session, and the driver in the region."""
