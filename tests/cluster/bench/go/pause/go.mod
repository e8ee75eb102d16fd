module netinspect.test/pause

go 1.26.0
