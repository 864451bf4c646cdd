"""What students use besides notebooks: hand in, status, Validate, the page in JupyterLab, the doctor."""
