"""What a stack is meant to be, as pure functions: settings, outputs, sizing, rules, cost. No Pulumi, no network."""
