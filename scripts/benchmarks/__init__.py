"""The benchmark's machinery: problems, worker processes, the gate, the race, tables and charts."""
