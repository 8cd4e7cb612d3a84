"""What scenario tests stand on: private daemons, private web servers, a raw FastCGI client."""
