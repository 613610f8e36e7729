# @summary The name of a systemd unit that the agent may manage, with its suffix.
#
# A template without an instance, as `foo@.service` is, cannot be restarted.
type Usher::Unit_name = Pattern[/\A(?!.*@\.)[A-Za-z0-9:_.\\@-]+\.(service|socket|target|timer|path|mount)\z/]
