"""Where it runs and what is recorded: functions in, results out; knows no box and no tensor."""
