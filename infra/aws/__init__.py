"""AWS components: each decides what one part of a stack is made of, and says what it costs."""
