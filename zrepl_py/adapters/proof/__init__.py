"""The proof worker: reads snapshots whole, restores copies for a moment. Implements ProofPort."""
