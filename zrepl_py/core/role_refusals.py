"""The refusals of the table of roles: what a person hears whose order is not carried out.

Each says what is wrong, the way out, and what that costs. They stand behind all moves: what is
refused here is what no move took up.
"""

from zrepl_py.core.role_moves import FOLLOWING, PROMOTABLE, SERVING
from zrepl_py.core.role_row import Row, but, refuse
from zrepl_py.errors import Passing, Standing
from zrepl_py.model.roles import Authority, Claim, Fit, Order, Record, Refusal, State

_TAKE = (Order.PROMOTE, Order.FORCE)
_TAKE_OR_GO_ON = (*_TAKE, Order.CONTINUE)
_WOULD_TAKE = (*PROMOTABLE, State.UNKNOWN, State.RESCUING)
_WRITES = (Claim.PRIMARY, Claim.TAKING, Claim.WAS_PRIMARY, Claim.HANDED)
_WAS_MINE = (Record.PRIMARY, Record.PROMOTING)
_ROLES_EXIST = Refusal("roles-exist", "{group} has its roles already.", "`zr status` shows them.")
_LOSS = "Everything written on {peer} after the last moment of which all is here (see the report)."

TAKING: tuple[Row, ...] = (
    refuse("promote-primary", SERVING, Refusal(
        "already-primary",
        "{here} is already the primary of {group}.",
        "Nothing is to be done. If {peer} should be the primary: `zr switchover`.",
    ), order=_TAKE_OR_GO_ON),
    refuse("promote-draining", State.DRAINING, Refusal(
        "switchover-running",
        "{here} is handing {group} over to {peer} at this moment.",
        "Wait for its end, or take it back: `zr switchover --abort`.",
        kind=Passing,
    ), order=_TAKE_OR_GO_ON),
    refuse("promote-promoting", State.PROMOTING, Refusal(
        "promotion-running",
        "{here} is taking {group} over already.",
        "Look at `zr status`: it shows the step, and below it what is in its way, if anything is. "
        "When that is gone, it goes on by itself.",
        kind=Passing,
    ), order=_TAKE_OR_GO_ON),
    refuse("promote-rescuing", State.RESCUING, Refusal(
        "rescue-running",
        "{here} is setting aside what only it has of {group}.",
        "Wait for its end: until then its datasets are between two places. Nothing is lost. If "
        "{peer} is lost for good: switch it off, and `zr promote` on {here}.",
        kind=Passing,
    ), order=_TAKE_OR_GO_ON, claim=but(Claim.SILENT, Claim.ASIDE)),
    refuse("promote-split", State.SPLIT, Refusal(
        "split",
        "{here} and {peer} both went on with {group} from the same epoch.",
        "Choose one: `zr resolve --keep {here}` or `zr resolve --keep {peer}`.",
        "What the other one has since then leaves the group, and is kept as a rescue.",
        Standing,
    ), order=_TAKE_OR_GO_ON),
    refuse("promote-faulted", State.FAULTED, Refusal(
        "pool-not-usable",
        "The pool, the journal or a member of {group} is not usable on {here}.",
        "`zr doctor` says which. Mend it first: a promoted copy could not be written to.",
        kind=Standing,
    ), order=_TAKE_OR_GO_ON),
    refuse("promote-new", State.INIT, Refusal(
        "no-roles",
        "{group} has no roles yet: nobody is its primary.",
        "Set them up on the node that serves: `zr promote --first`.",
    ), order=_TAKE_OR_GO_ON),
    refuse("promote-unknown-new", State.UNKNOWN, Refusal(
        "no-lineage",
        "{here} does not know who was primary of {group}: its journal has nothing of it.",
        "Start {peer}: it knows. If {peer} is lost for good, the replicas can be restored from.",
        kind=Standing,
    ), order=_TAKE_OR_GO_ON, record=Record.NOTHING),
    refuse("promote-handed", FOLLOWING, Refusal(
        "handover-running",
        "{peer} has handed {group} over to {here}, which takes it by itself.",
        "Look at `zr status`: it shows the step, and what is in its way, if anything is.",
        kind=Passing,
    ), order=_TAKE, claim=Claim.HANDED),
    refuse("promote-peer-writes", (*PROMOTABLE, State.UNKNOWN), Refusal(
        "peer-alive",
        "{peer} answers, and is or was the primary of {group}.",
        "`zr switchover` on {peer} moves it without any loss. If {peer} must not go on at all, "
        "switch it off first.",
        _LOSS,
    ), order=_TAKE, claim=_WRITES),
    refuse("promote-own", State.UNKNOWN, Refusal(
        "was-primary",
        "{here} itself was the primary of {group}; {peer} is not there to confirm it.",
        "Start {peer}. If it is down, and was not promoted: `zr promote --peer-is-down`.",
        "If {peer} was promoted meanwhile, both go on, and one side is set aside later.",
    ), order=_TAKE, record=_WAS_MINE),
    refuse("promote-seeding", tuple(s for s in _WOULD_TAKE if s is not State.STANDBY), Refusal(
        "group-incomplete",
        "{here} has no tick of {group} as a whole: promoting it would mix different times.",
        "Start {peer}, and let the first copy finish. Single datasets can be restored from here.",
        kind=Standing,
    ), order=_TAKE, fit=Fit.SEEDING),
    refuse("promote-states-nothing", _WOULD_TAKE, Refusal(
        "statement-needed",
        "{peer} does not answer as primary of {group}; what it wrote last may not be on {here}.",
        "Read the report, make sure that {peer} is switched off, and type the command below it.",
        _LOSS,
    ), order=Order.PROMOTE),
    refuse("promote-not-granted", _WOULD_TAKE, Refusal(
        "authority-refuses",
        "The authority does not give {group} to {here}, or does not answer.",
        "`zr status` shows what it says. Without it, only the node that it names may go on.",
    ), order=Order.FORCE, authority=but(Authority.GRANTED)),
    refuse("promote-peer-answers", (State.UNKNOWN, State.DEMOTED, State.FENCED, State.DIVERGED),
        Refusal(
        "peer-answers",
        "{peer} answers, and {here} is not the one of the two that would go on.",
        "Look at `zr status` on {peer}; if it should be the primary, promote it there.",
    ), order=Order.FORCE),
    refuse("continue-not-mine", _WOULD_TAKE, Refusal(
        "not-waiting",
        "{here} is not a primary that waits for {peer}.",
        "`zr status` shows what it is. A standby is promoted by `zr promote`.",
    ), order=Order.CONTINUE),
)  # fmt: skip

OTHERS: tuple[Row, ...] = (
    refuse("switchover-peer-silent", State.PRIMARY_ALONE, Refusal(
        "no-standby",
        "{peer} does not answer: there is nobody to hand {group} over to.",
        "Start {peer} and wait until `zr status` says that it follows.",
        kind=Passing,
    ), order=Order.SWITCHOVER, claim=Claim.SILENT),
    refuse("switchover-behind", SERVING, Refusal(
        "standby-behind",
        "{peer} is too far behind for a switchover of {group} without loss.",
        "Wait until `zr status` says that it is in sync.",
        kind=Passing,
    ), order=Order.SWITCHOVER, claim=Claim.BEHIND),
    refuse("switchover-unfit", State.PRIMARY_ALONE, Refusal(
        "standby-unfit",
        "{peer} answers, but is no standby that {group} could be handed over to.",
        "`zr status` on {peer} shows what it is, and what it waits for.",
        kind=Standing,
    ), order=Order.SWITCHOVER),
    refuse("switchover-elsewhere", but(*SERVING, State.DRAINING), Refusal(
        "not-primary",
        "{here} is not the primary of {group}, so it has nothing to hand over.",
        "Type it on the primary; `zr status` names it.",
    ), order=Order.SWITCHOVER),
    refuse("nothing-to-abort", but(State.DRAINING), Refusal(
        "no-switchover",
        "No switchover of {group} runs on {here} that could still be taken back.",
        "After its commit point it only goes forward. To come back: another `zr switchover`.",
    ), order=Order.ABORT),
    # Whoever knows of no role, and has not heard the other node yet, neither refuses nor begins:
    # the order waits.
    refuse("begin-again", but(State.INIT, State.UNKNOWN), _ROLES_EXIST, order=Order.BEGIN),
    refuse("begin-again-after-start", State.UNKNOWN, _ROLES_EXIST, order=Order.BEGIN,
        record=but(Record.NOTHING)),
    refuse("begin-alone", State.INIT, Refusal(
        "peer-needed",
        "{peer} must answer, fit, and have no role in {group} yet.",
        "Pair the two nodes and let the first copy begin; then type this again.",
        kind=Passing,
    ), order=Order.BEGIN),
    refuse("rejoin-waits", State.DIVERGED, Refusal(
        "rejoin-needs-primary",
        "{here} keeps what only it has of {group}; to rejoin, {peer} must answer as the primary.",
        "Start {peer}; the two must reach each other. Only if it is lost for good: `zr promote` on "
        "{here}.",
        _LOSS,
        Passing,
    ), order=Order.REJOIN),
    refuse("nothing-to-rejoin", but(State.DIVERGED, State.RESCUING), Refusal(
        "nothing-to-rejoin",
        "{here} has nothing of {group} that would have to be set aside first.",
        "Nothing is to be done: it follows by itself.",
    ), order=Order.REJOIN),
    refuse("not-split", but(State.SPLIT), Refusal(
        "not-split",
        "{group} is not split.",
        "`zr status` shows what each node is.",
    ), order=Order.RESOLVE),
    refuse("resolve-not-possible", State.SPLIT, Refusal(
        "resolve-not-possible",
        "{here} cannot be kept now: {peer} does not answer, the copy here is not whole, or the "
        "authority does not give it {group}.",
        "`zr status` shows which. If {peer} is lost for good: `zr promote` on {here}.",
        "What {here} has since then leaves the group, and is kept as a rescue.",
        Standing,
    ), order=Order.RESOLVE),
)  # fmt: skip

REFUSALS = (*TAKING, *OTHERS)
