/** Completion scripts: each asks `quiver`, with QUIVER_COMPLETE set, what may stand where the cursor is. */

import { QuiverError } from '../core/error.ts'

const SCRIPTS = {
  bash: `_quiver() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
    QUIVER_COMPLETE=1 quiver "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null
  )
}
complete -o default -F _quiver quiver
`,
  zsh: `#compdef quiver
_quiver() {
  local -a proposals
  proposals=("\${(@f)$(QUIVER_COMPLETE=1 quiver "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  [[ -n "\${proposals[1]}" ]] && compadd -- "\${proposals[@]}" || _files
}
compdef _quiver quiver
`,
  fish: `function __quiver
  set -l words (commandline -opc) (commandline -ct)
  env QUIVER_COMPLETE=1 quiver $words[2..-1] 2>/dev/null
end
complete -c quiver -a '(__quiver)'
`,
} as const

export type Shell = keyof typeof SCRIPTS

/** @throws QuiverError `invalid_argument/SHELL_INVALID` */
export function parseShell(text: string): Shell {
  if (text === 'bash' || text === 'zsh' || text === 'fish') return text
  throw new QuiverError('invalid_argument', 'SHELL_INVALID', `there is no script for "${text}"`, {
    hint: 'There are scripts for bash, zsh and fish.',
  })
}

export function completionScript(shell: Shell): string {
  return SCRIPTS[shell]
}
