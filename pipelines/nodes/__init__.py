"""One act each: artifacts in, one artifact out. A node only calls: components inside, cluster around."""
