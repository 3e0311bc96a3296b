"""Knowledge distillation for face models: classification, alignment and verification by one equation."""
