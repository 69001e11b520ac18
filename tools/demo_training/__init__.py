"""Training of the embedded demo model: a small Qwen3-VL that answers about coloured shapes."""
