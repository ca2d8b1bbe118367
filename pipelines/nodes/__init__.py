"""One act each: artifacts in, one out. A node only calls: components inside, cluster around."""
