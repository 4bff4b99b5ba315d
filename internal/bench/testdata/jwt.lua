-- One client, whose token is the same for a day.
wrk.headers["Authorization"] = "Bearer @TOKEN@"
