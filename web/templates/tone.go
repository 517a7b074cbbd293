package templates

// stepTone is the shape of a step.
func stepTone(s StepState) Tone {
	switch s {
	case StepDone:
		return OK
	case StepNow:
		return Busy
	case StepFail:
		return Bad
	default:
		return "todo"
	}
}

// stepWord says a step's state to who cannot see its shape.
func stepWord(s StepState) string {
	switch s {
	case StepDone:
		return "done"
	case StepNow:
		return "under way"
	case StepFail:
		return "failed"
	default:
		return "to come"
	}
}

func barTone(t Tone) Tone {
	if t == "" {
		return Busy
	}
	return t
}
