// Package policytest holds this repository to its own rules. It consists of tests only.
//
// The tables of ARCHITECTURE.md are its input: which package may import which, and where each library belongs. Other
// rules are about what a compiler does not see: documents, templates, migrations, the one caller of the patch. Every
// rule is also run on a small module with exactly one violation of each (testdata/violations.txtar), so that a rule
// that went blind is found.
package policytest
