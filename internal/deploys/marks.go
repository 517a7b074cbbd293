package deploys

import "context"

// Marks are the images marked as bad, to be asked about one by one: what every door shows beside an image. By the
// same rule Service.Start asks for a reason.
type Marks struct {
	byDigest map[string]BadImage
	byTag    map[imageTag]BadImage // the newest mark of a tag
}

type imageTag struct{ repository, tag string }

// Marks reads all marks at once, for a page that shows many images.
func (s *Service) Marks(ctx context.Context) (Marks, error) {
	all, err := badImages(ctx, s.db, `1 ORDER BY id`)
	return MarksOf(all), err
}

// MarksOf makes marks of a list, the newest last.
func MarksOf(all []BadImage) Marks {
	m := Marks{map[string]BadImage{}, map[imageTag]BadImage{}}
	for _, b := range all {
		m.byDigest[b.Digest] = b
		if b.Tag != "" {
			m.byTag[imageTag{b.Repository, b.Tag}] = b
		}
	}
	return m
}

// Of gives the mark of an image, found by its digest in whatever repository; only where that is not known by the tag in its
// own. A digest that pods alone report may be that of another manifest of the image, so it is not known then. Nil where
// there is none.
func (m Marks) Of(v Version) *BadImage {
	b, found := m.byDigest[v.Digest]
	if known := v.Digest != "" && (len(v.Images) == 0 || v.Pulled() == v.Digest); !found && !known {
		b, found = m.byTag[imageTag{v.Repository, v.Tag}]
	}
	if !found {
		return nil
	}
	return &b
}
