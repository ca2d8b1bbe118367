"""What is computed: tensors and tables in, tensors and tables out; never Ray, never MLflow."""
