"""Pages: functions from a Report to Page, one module for each experiment."""
