module usher.dev/tests/machines/runc

go 1.26
