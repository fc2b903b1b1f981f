# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_enginehouse_global_optspecs
    string join \n h/help V/version
end

function __fish_enginehouse_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_enginehouse_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_enginehouse_using_subcommand
    set -l cmd (__fish_enginehouse_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c enginehouse -n "__fish_enginehouse_needs_command" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -s V -l version -d 'Print version'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "new" -d 'Make a configuration step by step, in the terminal: models, GPUs, ports; then save and start it'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "serve" -d 'Start the engines of a configuration and serve them at one endpoint'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "run" -d 'Serve one model without a configuration file'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "shutdown" -d 'End a gateway and its engines; also ends the engines of a gateway that is dead'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "reload" -d 'Make a running gateway read its configuration file again; requests are not interrupted'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "plan" -d 'Show what a reload of this file would change in the running gateway, without changing it'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "check" -d 'Check a configuration: print which engine would run where, or all errors'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "config" -d 'Keep configurations under names: list, show, edit, import, export, delete'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "explain" -d 'Show how an alias changes a request: the body (standard input) before and after, and the reason for each change'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "import" -d 'Convert the configuration of another program into one for Enginehouse'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "schema" -d 'Print the JSON Schema of the configuration'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "profiles" -d 'Show and keep profiles (flags and environment that `profile:` of a model sets)'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "shortcuts" -d 'Keep models with their settings under names, for `enginehouse run --shortcut NAME`'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "status" -d 'Show a running gateway: its addresses, models and engines'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "top" -d 'Watch a running gateway in the terminal: models, engines, GPUs, logs, requests; start and stop engines by keys'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "engines" -d 'Show the engines of a running gateway, or all that is known of one'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "aliases" -d 'Show the aliases of a running gateway, or where one leads and what it changes'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "callers" -d 'Show the callers of a running gateway, and what they used'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "requests" -d 'Show the last requests of a running gateway, or one with its attempts; -f: and those that come'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "logs" -d 'Print the logs of a running gateway and its engines, merged or of one; -f: and the lines that come'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "operations" -d 'Show what operators had done with engines: under way and over'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "cancel" -d 'Cancel an operation that is under way'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "audit" -d 'Show who changed what in a running gateway, the newest first'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "log-level" -d 'Show or set which lines of its log a running gateway writes'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "start" -d 'Start the engines of a model, or one engine; earlier crashes are forgotten'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "stop" -d 'Let the engines of a model, or one engine, finish their requests and end them'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "restart" -d 'Let the engines of a model, or one engine, finish their requests and start them anew'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "drain" -d 'Keep new requests away from a model or an engine and wait for those under way'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "undrain" -d 'Let requests come again to what was drained'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "sleep" -d 'Put the engines of a model, or one engine, to sleep: they give their GPU memory back'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "wake" -d 'Wake the engines of a model, or one engine, up'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "roll" -d 'Replace the engines of a model one by one; the others go on'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "scale" -d 'Give a model so many engines'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "lora" -d 'Load and unload LoRA adapters'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "add" -d 'Add or change a model, an alias or a caller of a running gateway'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "remove" -d 'Remove a model, an alias or a caller of a running gateway'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "gpus" -d 'Show the GPUs of this machine: memory, load, processes, MIG instances'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "bench" -d 'Put a load on an alias and report latencies and throughput'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "chat" -d 'Talk with a model: on a terminal turn by turn, in a pipe one question and its answer'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "models" -d 'Show the models and LoRA adapters on this machine: size, context length, quantization, GPU memory they need'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "doctor" -d 'Check this machine and say what to do: driver, vLLM and its flags, ports, limits, disks, memory, what was left running'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "sim" -d 'Run a simulated engine, which answers like `vllm serve` and needs no GPU'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "completions" -d 'Print the completions of a shell: bash, zsh or fish'
complete -c enginehouse -n "__fish_enginehouse_needs_command" -f -a "man" -d 'Write the man pages of all commands into a folder'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand new" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand serve" -l set -d 'Set one key to a value (YAML), whatever the files say: --set listen=127.0.0.1:9000, --set \'models.m.gpus=[0, 1]\'; `null` removes it; can be given several times' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand serve" -l state-dir -d 'Directory for records and engine logs (instead of `state_dir` of the configuration)' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand serve" -l ready-file -d 'Write process id and addresses to this file (JSON) as soon as the gateway accepts requests' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand serve" -l detached -d 'This process was started by `--detach`; its log is this file' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand serve" -l detach -d 'Start the gateway in the background and return when it accepts requests: it goes on without the terminal, and its log is gateway.log in the state directory'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand serve" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand run" -l model -d 'The model: a hub id or a path' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand run" -l shortcut -d 'A shortcut of yours, which says the model and its settings' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand run" -l name -d 'The name of the gateway, for `enginehouse shutdown NAME`; default: made from that of the model' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand run" -l gpus -d 'The GPUs, by index or UUID: --gpus 0,1' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand run" -l port -d 'The port for clients on 127.0.0.1; operators get the next one; 0: free ones' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand run" -l profile -d 'The profile of the model' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand run" -l set -d 'Set one key of the configuration to a value (YAML), as for `serve`; can be given several times' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand run" -l detach -d 'Start it in the background, and return when it accepts requests'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand run" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shutdown" -l state-dir -d 'The state directory of the gateway (instead of `state_dir` of the configuration)' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shutdown" -l all -d 'Stop all gateways of this user whose state directory is in the default place'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shutdown" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand reload" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand reload" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand reload" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand reload" -l json -d 'Print what changed as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand reload" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand plan" -l set -d 'Set one key to a value (YAML), whatever the files say: --set listen=127.0.0.1:9000, --set \'models.m.gpus=[0, 1]\'; `null` removes it; can be given several times' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand plan" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand plan" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand plan" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand plan" -l json -d 'Print what would change as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand plan" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand check" -l set -d 'Set one key to a value (YAML), whatever the files say: --set listen=127.0.0.1:9000, --set \'models.m.gpus=[0, 1]\'; `null` removes it; can be given several times' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand check" -l state-dir -d 'The state directory that the gateway is served with, if `serve` is told one: engines that run from there have their GPUs' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand check" -l json -d 'Print JSON: `valid`, `errors`, `warnings` and `notes` (each with `path`, `line`, `message`, `hint`), and the `plan`: what would run where'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand check" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and not __fish_seen_subcommand_from list show edit path export import delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and not __fish_seen_subcommand_from list show edit path export import delete" -f -a "list" -d 'List what is saved: models, addresses, when it was changed, and whether it is valid'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and not __fish_seen_subcommand_from list show edit path export import delete" -f -a "show" -d 'Print a saved configuration as it is written'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and not __fish_seen_subcommand_from list show edit path export import delete" -f -a "edit" -d 'Edit a saved configuration with $VISUAL or $EDITOR; the old text stays in use until the new one is valid'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and not __fish_seen_subcommand_from list show edit path export import delete" -f -a "path" -d 'Print the path of a saved configuration'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and not __fish_seen_subcommand_from list show edit path export import delete" -f -a "export" -d 'Write a saved configuration to a file, or to standard output'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and not __fish_seen_subcommand_from list show edit path export import delete" -f -a "import" -d 'Check the configuration in a file and save it under a name'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and not __fish_seen_subcommand_from list show edit path export import delete" -f -a "delete" -d 'Delete a saved configuration; a gateway that runs with it goes on'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and __fish_seen_subcommand_from list" -l json -d 'Print JSON: a list with `name`, `file`, `models`, `listen`, `admin`, `ports`, `modified`, `valid` and `errors` of each'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print JSON: `name`, `file`, `text`, and `configuration` (the text as JSON; null if it is not YAML)'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and __fish_seen_subcommand_from edit" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and __fish_seen_subcommand_from path" -l json -d 'Print JSON: `name` and `file`'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and __fish_seen_subcommand_from export" -l force -d 'Replace the file if it is there'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and __fish_seen_subcommand_from import" -l force -d 'Replace what is saved under that name'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and __fish_seen_subcommand_from delete" -s y -l yes -d 'Do not ask'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand config; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand explain" -l set -d 'Set one key to a value (YAML), whatever the files say: --set listen=127.0.0.1:9000, --set \'models.m.gpus=[0, 1]\'; `null` removes it; can be given several times' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand explain" -l alias -d 'The `model` of the request: an alias, a model or an adapter; default: what the body says' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand explain" -l part -d 'For an alias with `split` or `fallback`: show only this part or fallback' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand explain" -l endpoint -d 'The endpoint: chat, completions, responses, messages, embeddings, … (as in `when`)' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand explain" -l header -d 'A header of the request, for conditions; can be given several times' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand explain" -l caller -d 'The caller (one of the configuration\'s `callers`), for conditions; default: a request without a key' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand explain" -l json -d 'Print JSON: `name`, `path`, `before`, and for each of `places` its `changes` (without `old` where there was nothing, without `new` where nothing is left), `headers` and the body `after` them'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand import; and not __fish_seen_subcommand_from gym vllm-cli llama-swap litellm" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand import; and not __fish_seen_subcommand_from gym vllm-cli llama-swap litellm" -f -a "gym" -d 'Convert NeMo Gym\'s YAML files'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand import; and not __fish_seen_subcommand_from gym vllm-cli llama-swap litellm" -f -a "vllm-cli" -d 'Convert proxy configurations, profiles and shortcuts of vllm-cli'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand import; and not __fish_seen_subcommand_from gym vllm-cli llama-swap litellm" -f -a "llama-swap" -d 'Convert llama-swap\'s configuration'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand import; and not __fish_seen_subcommand_from gym vllm-cli llama-swap litellm" -f -a "litellm" -d 'Convert the configuration of LiteLLM\'s proxy'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand import; and __fish_seen_subcommand_from gym" -l root -d 'A folder, such as Gym\'s, that paths inside files are relative to; searched before the folder of the file and the folders above it' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand import; and __fish_seen_subcommand_from gym" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand import; and __fish_seen_subcommand_from vllm-cli" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand import; and __fish_seen_subcommand_from llama-swap" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand import; and __fish_seen_subcommand_from litellm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand schema" -l api -d 'Print the OpenAPI description of the operators\' API instead'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand schema" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and not __fish_seen_subcommand_from list show set edit delete export import reset" -l json -d 'Print JSON: the same part of a configuration'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and not __fish_seen_subcommand_from list show set edit delete export import reset" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and not __fish_seen_subcommand_from list show set edit delete export import reset" -a "list" -d 'List them'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and not __fish_seen_subcommand_from list show set edit delete export import reset" -a "show" -d 'Print one as a part of a configuration'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and not __fish_seen_subcommand_from list show set edit delete export import reset" -a "set" -d 'Keep what is in a file under a name; it replaces what had that name'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and not __fish_seen_subcommand_from list show set edit delete export import reset" -a "edit" -d 'Edit one with $VISUAL or $EDITOR; the old one stays until the new one is valid'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and not __fish_seen_subcommand_from list show set edit delete export import reset" -a "delete" -d 'Delete one'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and not __fish_seen_subcommand_from list show set edit delete export import reset" -a "export" -d 'Write one to a file, or to standard output, as a part of a configuration'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and not __fish_seen_subcommand_from list show set edit delete export import reset" -a "import" -d 'Keep those of a configuration file, each under its name'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and not __fish_seen_subcommand_from list show set edit delete export import reset" -a "reset" -d 'Delete your profile that replaces a built-in one, which counts again'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and __fish_seen_subcommand_from list" -l json -d 'Print JSON: a list with `name`, `file`, `valid`, `error` and more of each'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and __fish_seen_subcommand_from show" -l json -d 'Print JSON: the same part of a configuration'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and __fish_seen_subcommand_from edit" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and __fish_seen_subcommand_from delete" -s y -l yes -d 'Do not ask'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and __fish_seen_subcommand_from export" -l force -d 'Replace the file if it is there'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and __fish_seen_subcommand_from import" -l force -d 'Replace those that are there'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand profiles; and __fish_seen_subcommand_from reset" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and not __fish_seen_subcommand_from list show set edit delete export import" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and not __fish_seen_subcommand_from list show set edit delete export import" -f -a "list" -d 'List them'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and not __fish_seen_subcommand_from list show set edit delete export import" -f -a "show" -d 'Print one as a part of a configuration'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and not __fish_seen_subcommand_from list show set edit delete export import" -f -a "set" -d 'Keep what is in a file under a name; it replaces what had that name'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and not __fish_seen_subcommand_from list show set edit delete export import" -f -a "edit" -d 'Edit one with $VISUAL or $EDITOR; the old one stays until the new one is valid'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and not __fish_seen_subcommand_from list show set edit delete export import" -f -a "delete" -d 'Delete one'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and not __fish_seen_subcommand_from list show set edit delete export import" -f -a "export" -d 'Write one to a file, or to standard output, as a part of a configuration'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and not __fish_seen_subcommand_from list show set edit delete export import" -f -a "import" -d 'Keep those of a configuration file, each under its name'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and __fish_seen_subcommand_from list" -l json -d 'Print JSON: a list with `name`, `file`, `valid`, `error` and more of each'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and __fish_seen_subcommand_from show" -l json -d 'Print JSON: the same part of a configuration'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and __fish_seen_subcommand_from edit" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and __fish_seen_subcommand_from delete" -s y -l yes -d 'Do not ask'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and __fish_seen_subcommand_from export" -l force -d 'Replace the file if it is there'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and __fish_seen_subcommand_from import" -l force -d 'Replace those that are there'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand shortcuts; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand status" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand status" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand status" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand status" -l json -d 'Print JSON, as the operators\' API has it'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand status" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand top" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand top" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand top" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand top" -l once -d 'Print one picture as plain text and end; without a terminal that is done in any case'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand top" -l json -d 'Print JSON and end: how everything is (as the event `snapshot` of the operators\' API), and the newest lines of the `log`'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand top" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand engines" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand engines" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand engines" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand engines" -l json -d 'Print JSON, as the operators\' API has it'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand engines" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand aliases" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand aliases" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand aliases" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand aliases" -l json -d 'Print JSON, as the operators\' API has it'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand aliases" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand callers" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand callers" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand callers" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand callers" -l json -d 'Print JSON, as the operators\' API has it'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand callers" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand requests" -l model -d 'Only of this model' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand requests" -l alias -d 'Only by this alias' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand requests" -l engine -d 'Only on this engine' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand requests" -l caller -d 'Only by this caller' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand requests" -l status -d 'Only with this status' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand requests" -s n -l limit -d 'Show at most this many, the newest' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand requests" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand requests" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand requests" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand requests" -l failed -d 'Only those that went wrong'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand requests" -s f -l follow -d 'Print those that come, too, until Ctrl-C, or until the gateway ends or says nothing for 20 s (exit code 3)'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand requests" -l json -d 'Print JSON, as the operators\' API has it'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand requests" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand logs" -l since -d 'Only lines since a time (2026-11-30T12:00:00Z), or since so long ago (10m)' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand logs" -l grep -d 'Only lines that contain this, in upper or lower case' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand logs" -s n -l lines -d 'Print at most this many lines of each log, the newest' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand logs" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand logs" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand logs" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand logs" -s f -l follow -d 'Print the lines that come, too, until Ctrl-C, or until the gateway ends or says nothing for 20 s (exit code 3)'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand logs" -l json -d 'Print each line as a JSON object'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand logs" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand operations" -s n -l limit -d 'Show at most this many, the newest' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand operations" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand operations" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand operations" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand operations" -l json -d 'Print JSON, as the operators\' API has it'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand operations" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand cancel" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand cancel" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand cancel" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand cancel" -l json -d 'Print JSON, as the operators\' API has it'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand cancel" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand audit" -s n -l limit -d 'Show at most this many, the newest' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand audit" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand audit" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand audit" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand audit" -l json -d 'Print JSON, as the operators\' API has it'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand audit" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand log-level" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand log-level" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand log-level" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand log-level" -l json -d 'Print JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand log-level" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand start" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand start" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand start" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand start" -l no-wait -d 'Return as soon as it is begun'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand start" -l json -d 'Print the operation and its engines as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand start" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand stop" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand stop" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand stop" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand stop" -l no-wait -d 'Return as soon as it is begun'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand stop" -l json -d 'Print the operation and its engines as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand stop" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand restart" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand restart" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand restart" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand restart" -l no-wait -d 'Return as soon as it is begun'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand restart" -l json -d 'Print the operation and its engines as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand restart" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand drain" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand drain" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand drain" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand drain" -l no-wait -d 'Return as soon as it is begun'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand drain" -l json -d 'Print the operation and its engines as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand drain" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand undrain" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand undrain" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand undrain" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand undrain" -l no-wait -d 'Return as soon as it is begun'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand undrain" -l json -d 'Print the operation and its engines as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand undrain" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sleep" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sleep" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sleep" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sleep" -l level -d '1: weights stay in host memory; 2: they are dropped, and loaded again on waking' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sleep" -l no-wait -d 'Return as soon as it is begun'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sleep" -l json -d 'Print the operation and its engines as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sleep" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand wake" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand wake" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand wake" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand wake" -l no-wait -d 'Return as soon as it is begun'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand wake" -l json -d 'Print the operation and its engines as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand wake" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand roll" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand roll" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand roll" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand roll" -l no-wait -d 'Return as soon as it is begun'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand roll" -l json -d 'Print the operation and its engines as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand roll" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand scale" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand scale" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand scale" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand scale" -l no-wait -d 'Return as soon as it is begun'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand scale" -l json -d 'Print the operation and its engines as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand scale" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and not __fish_seen_subcommand_from add remove" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and not __fish_seen_subcommand_from add remove" -f -a "add" -d 'Load a LoRA adapter on all engines of a model'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and not __fish_seen_subcommand_from add remove" -f -a "remove" -d 'Unload a LoRA adapter'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and __fish_seen_subcommand_from add" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and __fish_seen_subcommand_from add" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and __fish_seen_subcommand_from add" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and __fish_seen_subcommand_from add" -l no-wait -d 'Return as soon as it is begun'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and __fish_seen_subcommand_from add" -l json -d 'Print the operation and its engines as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and __fish_seen_subcommand_from remove" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and __fish_seen_subcommand_from remove" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and __fish_seen_subcommand_from remove" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and __fish_seen_subcommand_from remove" -l no-wait -d 'Return as soon as it is begun'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and __fish_seen_subcommand_from remove" -l json -d 'Print the operation and its engines as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand lora; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand add" -l from -d 'Read the settings (YAML or JSON) from this file, `-`: standard input' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand add" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand add" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand add" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand add" -l persist -d 'Change the configuration file of the gateway, and not only its state directory'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand add" -l json -d 'Print what changed as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand add" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand remove" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand remove" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand remove" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand remove" -l undo -d 'Forget only what was changed while gateways ran: what the configuration file says counts again'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand remove" -l persist -d 'Change the configuration file of the gateway, and not only its state directory'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand remove" -l json -d 'Print what changed as JSON'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand remove" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand gpus" -l json -d 'Print JSON (memory in bytes, utilisation in percent, temperature in °C, power in watts; null: unknown)'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand gpus" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l url -d 'Address of the data port, for example http://127.0.0.1:8000, instead of that of the running gateway (http only; any server of OpenAI\'s API will do)' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l key-file -d 'File with the key of a caller; without it, the variable ENGINEHOUSE_API_KEY is used, if it is set' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -s c -l concurrency -d 'Requests under way at a time. With --rate: at most so many, and later ones wait (and count from when they were due) [default: 8; with --rate: 10000]' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -s r -l rate -d 'Requests a second, at equal distances' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -s n -l requests -d 'Requests in all [default: 100, or without a limit where --duration is given]' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -s d -l duration -d 'Send requests for this long; those under way then are waited for' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l warmup -d 'Requests before the measured ones, which count for nothing' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l timeout -d 'Give a request up after this time; it counts as failed' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l seed -d 'What the random prompts and distances are made from: the same number gives the same ones' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l input-tokens -d 'Length of the random prompts, in words of about one token each; no two are the same' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l prompts -d 'Prompts from a file instead, used in turn: one per line, or JSON lines with `messages` or `prompt` and further members' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l max-tokens -d 'Longest answer. Models may end sooner: with vLLM, --set ignore_eos=true makes all answers so long' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l api -d 'Which API to use' -r -f -a "chat\t'/v1/chat/completions'
completions\t'/v1/completions'"
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l set -d 'A further member of every body, or another value of one; several times' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l save -d 'Write the figures to a file, for --compare' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l compare -d 'Compare with the run that was saved to a file' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l tolerance -d 'Differences up to so many percent count as none' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l show -d 'Send nothing: report a run that was saved to a file' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l poisson -d 'Send at random distances, as independent callers do (a Poisson process); --rate is their mean'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l no-stream -d 'Ask for answers in one piece: no TTFT, ITL and TPOT'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l json -d 'Print the figures as JSON (conf/bench.md explains its members)'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -l allow-failures -d 'Failed requests do not make the command fail'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand bench" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand chat" -l url -d 'Address of the data port, for example http://127.0.0.1:8000, instead of that of the running gateway (http only; any server of OpenAI\'s API will do)' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand chat" -l key-file -d 'File with the key of a caller; without it, the variable ENGINEHOUSE_API_KEY is used, if it is set' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand chat" -l admin -d 'The address of its operators\' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand chat" -l name -d 'The name of its configuration (`name:`), where several run' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand chat" -l state-dir -d 'Its state directory, if it is not in the usual place' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand chat" -l system -d 'The system message' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand chat" -l set -d 'A further member of every body, or another value of one; several times' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand chat" -l no-stream -d 'Show the answer when it is there in whole'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand chat" -l json -d 'Print the answer as the server sent it (JSON, in one piece); needs a prompt'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand chat" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand models" -l dir -d 'Look in this folder too, and in folders below; it can be a model itself, a cache of the hub or a .gguf file. Can be given several times' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand models" -l json -d 'Print JSON (sizes and memory in bytes; null: unknown)'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand models" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand doctor" -l set -d 'Set one key to a value (YAML), whatever the files say: --set listen=127.0.0.1:9000; can be given several times' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand doctor" -l state-dir -d 'The state directory that the gateway is served with, if `serve` is told one' -r -F
complete -c enginehouse -n "__fish_enginehouse_using_subcommand doctor" -l json -d 'Print JSON: a list of checks with `name`, `status` (ok, warning, problem), `found` and `remedy`'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l model -d 'The same as MODEL' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l host -d 'Address to listen on. (vLLM\'s default is 0.0.0.0.)' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l port -d 'Port to listen on; 0 takes a free one and prints it' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l served-model-name -d 'Names callers may use; answers carry the first' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l max-model-len -d 'Context length in tokens (a token is about 3 bytes)' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l api-key -d 'Key that requests for /v1/* need; also VLLM_API_KEY' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l lora-modules -d 'Adapters: NAME=PATH or {"name": …, "path": …}; given twice, the last flag counts (as in vLLM)' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l sleep-takes -d 'Time to fall asleep, and to wake up' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l reasoning-parser -d 'Think first: the first words of an answer are its thoughts (`reasoning`, a reasoning item, a thinking block)' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l shutdown-timeout -d 'Seconds that requests in flight may take after SIGTERM; 0 ends them at once' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l runner -d 'What is served: both by default; a real vLLM does `generate` or `pooling`' -r -f -a "auto\t''
generate\t''
pooling\t''
draft\t''"
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l convert -d 'As in vLLM; `embed`, `classify` and the like mean --runner pooling' -r -f -a "auto\t''
none\t''
embed\t''
classify\t''
reward\t''"
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l sse-keep-alive-interval -d 'Seconds between `: keep-alive` comments while a stream is silent' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l max-num-seqs -d 'Requests that run at once; the others wait' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l max-num-queued-reqs -d 'Requests, running and waiting, above which new ones get 503, or in a burst a stream that begins with an error, as in vLLM' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l ttft -d 'Time to first token' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l gap -d 'Time between tokens; 0ms: as fast as possible' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l tokens -d 'Tokens (words) of an answer, unless the request limits it' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l concurrency -d 'Requests that run at once; instead of --max-num-seqs' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l keep-alive -d 'Close connections that were idle this long after an answer; also VLLM_HTTP_TIMEOUT_KEEP_ALIVE in seconds. [default: 5s]' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l dimensions -d 'Length of an embedding' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l ready-after -d 'Load this long; until then connections are refused' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l fail-start -d 'Refuse to start, with this message and exit code 1, as vLLM does when flags contradict each other' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l exit-while-loading -d 'Exit with this code while loading, optionally after a time, and log what a vLLM logs when it runs out of memory' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l oom -d 'Run out of GPU memory while loading, optionally after a time, with vLLM\'s traceback; exit code 1' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l die-on -d 'Die, with exit code 1, upon an inference request whose body contains this text: no answer, all connections cut' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l wedge -d 'Hang from the request after this many on: /health answers and requests are accepted, but no token comes any more. Also POST /sim/fault {"kind": "wedge"}, and "unwedge" to go on' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l core-stopped -d 'The same, as when the process that computes was stopped (SIGSTOP): the gauges of /metrics stay as they were before that request, so those that come later seem neither to run nor to wait, and /is_sleeping and /is_paused do not answer. Also POST /sim/fault {"kind": "core-stopped"}' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l slow-term -d 'Take this long to end after SIGTERM' -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l orphan -d 'Start a child that outlives this process: in the same process group, or in its own' -r -f -a "group\t'The parent\'s process group'
own-group\t'A process group of its own'"
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l escape -d 'Start a daemon that leaves the process group and session and outlives this process: with its environment, or with none. May be given twice' -r -f -a "session\t'The environment'
clean\t'Nothing: no environment, another working directory'"
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l all2all-backend -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l allowed-origins -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l api-server-count -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l async-scheduling-config -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l attention-backend -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l block-size -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l chat-template -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l chat-template-content-format -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l code-revision -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l collect-detailed-traces -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l compilation-config -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l config-format -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l cpu-offload-gb -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l data-parallel-address -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l data-parallel-backend -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l data-parallel-rpc-port -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l data-parallel-size -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l data-parallel-size-local -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l decode-context-parallel-size -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l default-chat-template-kwargs -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l distributed-executor-backend -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l download-dir -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l dtype -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l generation-config -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l gpu-memory-utilization -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l guided-decoding-backend -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l hf-overrides -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l hf-token -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l kv-cache-dtype -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l kv-cache-memory-bytes -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l kv-events-config -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l kv-transfer-config -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l limit-mm-per-prompt -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l load-format -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l logits-processors -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l long-prefill-token-threshold -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l max-cpu-loras -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l max-logprobs -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l max-lora-rank -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l max-loras -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l max-num-batched-tokens -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l max-num-partial-prefills -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l max-num-queued-tokens -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l max-parallel-loading-workers -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l max-seq-len-to-capture -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l middleware -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l mm-processor-kwargs -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l model-impl -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l moe-backend -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l nnodes -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l node-rank -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l num-gpu-blocks-override -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l num-scheduler-steps -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l optimization-level -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l otlp-traces-endpoint -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l override-generation-config -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l override-pooler-config -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l performance-mode -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l pipeline-parallel-size -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l pooler-config -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l prefill-context-parallel-size -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l quantization -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l response-role -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l revision -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l root-path -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l rope-scaling -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l safetensors-load-strategy -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l scheduling-policy -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l seed -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l speculative-config -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l stream-interval -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l structured-outputs-config -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l swap-space -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l task -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l tensor-parallel-size -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l tokenizer -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l tokenizer-mode -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l tokenizer-revision -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l tool-call-parser -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l tool-parser-plugin -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l uvicorn-log-level -r
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-lora -d 'Serve adapters; with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True they can be loaded at run time'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l runtime-lora -d 'The same as VLLM_ALLOW_RUNTIME_LORA_UPDATING=True (and --enable-lora)'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-sleep-mode -d 'Let sleep free memory. The routes come with VLLM_SERVER_DEV_MODE=1, as in vLLM'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l dev-mode -d 'The same as VLLM_SERVER_DEV_MODE=1: routes /sleep, /wake_up, /is_sleeping, /collective_rpc and others'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-prompt-tokens-details -d '`prompt_tokens_details` in usage'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-force-include-usage -d 'Send usage in every chunk of every stream, even if the request does not ask for it'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-request-id-headers -d 'Reply with `x-request-id`: the caller\'s or a new one'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l trust-request-chat-template -d 'Let requests bring their own `chat_template` (it is ignored then)'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-server-load-tracking -d 'Count requests for GET /load'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l access-log -d 'Log a line per request'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l never-ready -d 'Load for ever'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l swallow-term -d 'Ignore the first SIGTERM while loading, as vLLM does'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l ignore-term -d 'Do nothing on SIGTERM and SIGINT'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l hang-at-end -d 'Close the port on SIGTERM, finish what is under way, and then never end: vLLM 0.32 does that at times when its engine core has died'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l allow-credentials
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l async-scheduling
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l disable-cascade-attn
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l disable-custom-all-reduce
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l disable-fastapi-docs
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l disable-frontend-multiprocessing
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l disable-hybrid-kv-cache-manager
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l disable-log-requests
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l disable-log-stats
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l disable-sliding-window
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l disable-uvicorn-access-log
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-auto-tool-choice
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-chunked-prefill
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-dbo
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-eplb
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-expert-parallel
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-log-outputs
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-log-requests
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-prefix-caching
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-prompt-embeds
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enable-scale-out
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l enforce-eager
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l headless
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l language-model-only
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l return-tokens-as-token-ids
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l skip-mm-profiling
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -l trust-remote-code
complete -c enginehouse -n "__fish_enginehouse_using_subcommand sim" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand completions" -s h -l help -d 'Print help'
complete -c enginehouse -n "__fish_enginehouse_using_subcommand man" -s h -l help -d 'Print help'
