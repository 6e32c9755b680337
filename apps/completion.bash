# Bash completion of impasto: commands and options are read from the program's own help.
_impasto() {
  local program=$1 current=$2 previous=$3 words=() word command=() help
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      -*) ;;
      render | plan | devices | bench | selftest) [[ ${#command[@]} -eq 0 ]] && command+=("$word") ;;
      weights) [[ ${#command[@]} -eq 0 ]] && command+=("$word") ;;
      list | fetch | inspect) [[ ${command[*]} == weights ]] && command+=("$word") ;;
    esac
  done
  case $previous in
    --progress) words=(auto bar json none) ;;
    --optimizer) words=(lbfgs adam gd) ;;
    --learning-rate) words=(auto) ;;
    --line-search) words=(none wolfe) ;;
    --preconditioner) words=(none pyramid) ;;
    --handover) words=(picture change) ;;
    --grain) words=(result style) ;;
    --pooling) words=(max average) ;;
    --scaling) words=(relative paper mean) ;;
    --tv) words=(l2 l1 half-sum) ;;
    --precision) words=(auto fp32 tf32 bf16 fp16 fp64) ;;
    --device) words=(auto cpu cuda reference) ;;
    --output-bits) words=(8 16) ;;
    --preset) words=(impasto paper neural-style-pt gatys-notebook) ;;
    *)
      if [[ ${command[*]} == "weights fetch" ]]; then
        words=(vgg19 vgg16 hed-vgg16)
      elif [[ $current == -* || ${#command[@]} -eq 0 || ${command[*]} == weights ]]; then
        help=$("$program" "${command[@]}" --help 2>/dev/null)
        if [[ $current == -* ]]; then
          words=($(grep -oE '^  (-[a-z], )?--[a-z0-9-]+' <<<"$help" | grep -oE -- '--[a-z0-9-]+'))
        else
          words=($(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' <<<"$help"))
        fi
      fi
      ;;
  esac
  COMPREPLY=($(compgen -W "${words[*]}" -- "$current"))
}
complete -o default -o bashdefault -F _impasto impasto
