"""The tools of the system tests: private managers, private web servers, a raw FastCGI client."""
