# SPDX-License-Identifier: Apache-2.0
#
# Reads C and prints it with comments blanked and the contents of strings and character constants
# taken out, line for line, as FILE:LINE:TEXT. So a grep for a word finds code, not prose.
# Names in #include lines are kept. A // comment is shown as the word LINE_COMMENT.

FNR == 1 {
	inside = 0 # of a block comment
}

{
	line = $0
	out = ""
	if (!inside && line ~ /^[ \t]*#[ \t]*include/) {
		sub(/\/\*.*\*\//, "", line)
		print FILENAME ":" FNR ":" line
		next
	}
	while (line != "") {
		if (inside) {
			at = index(line, "*/")
			if (!at)
				break
			inside = 0
			line = substr(line, at + 2)
			continue
		}
		if (!match(line, /\/\*|\/\/|["']/)) {
			out = out line
			break
		}
		out = out substr(line, 1, RSTART - 1)
		token = substr(line, RSTART, RLENGTH)
		line = substr(line, RSTART + RLENGTH)
		if (token == "/*") {
			inside = 1
			out = out " "
		} else if (token == "//") {
			out = out "LINE_COMMENT"
			break
		} else {
			# Skip to the closing quote; a backslash takes the next character with it.
			while (line != "" && substr(line, 1, 1) != token)
				line = substr(line, substr(line, 1, 1) == "\\" ? 3 : 2)
			line = substr(line, 2)
			out = out token token
		}
	}
	print FILENAME ":" FNR ":" out
}
