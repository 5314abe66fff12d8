package main

// A simFault is something that is planted into a simulated history and must be found.
type simFault string

// simFaults lists all of them, each with a description.
var simFaults = []struct {
	name simFault
	what string
}{
	{faultNumbers, "cursors are numbers: neither names nor servers are compared"},
	{faultNamesAtHead, "names are compared at the head only, servers not at all"},
	{faultAnyServer, "another server, or another start of it, is no gap"},
	{faultGenerationCounts, "the generation of a user's sessions is a counter"},
	{faultVersionCounts, "the version of a principal is a counter"},
	{faultSkipsRow, "the feed's reader leaves out the last row of a page"},
	{faultSplitsNumber, "a page ends within the rows of one number"},
	{faultPageToHead, "a page that is full says that it reaches the head"},
	{faultPruned, "pruned rows are no gap"},
	{faultGapIgnored, "a gap moves the cursor and nothing else"},
	{faultMarksFirst, "after a gap the head is read after what is held was marked"},
	{faultGapKeepsAccounts, "a gap does not void principals and keys"},
	{faultGapKeepsSessions, "a gap does not void sessions and the epoch"},
	{faultGapKeepsPolicy, "a gap does not void the policy"},
	{faultNoCatchUp, "a read counts before what was missed is caught up with"},
	{faultToldLate, "the cursor moves on before subscribers are told"},
	{faultCountsOnKind, "the process does not listen to some kinds of change"},
	{faultHeadLast, "the head is read after the first loads"},
	{faultNeverPolls, "the feed is read on notices only"},
	{faultFailureCounts, "a read that failed counts as one that found nothing"},
	{faultAgeless, "the age of caches is not looked at"},
	{faultWallClock, "ages go by the wall clock, which is set back"},
	{faultPublishFirst, "feed rows are there before the commit that they announce"},
	{faultOutOfOrder, "numbers become visible out of order"},
	{faultNoRowForState, "a ban leaves no feed row"},
	{faultNoRowForRole, "a change of role leaves no feed row"},
	{faultNoRowForEndUser, "the end of a user's sessions leaves no feed row"},
	{faultNoRowForKey, "a change of a key leaves no feed row"},
	{faultNoRowForPolicy, "a change of the policy leaves no feed row"},
	{faultNoRowForEpoch, "the end of everybody's sessions leaves no feed row"},
	{faultNoRowForSession, "a sign-out leaves no feed row"},
	{faultVersionStays, "a change of claims leaves the version of the principal"},
	{faultReadsStandby, "principals are loaded from a standby that is behind"},
	{faultReadsFormer, "one connection stays with the former primary"},
	{faultForgetsEnded, "ended sessions are not read again at the start and after a gap"},
	{faultKeepsFlight, "a load in flight keeps what it brings although the row was dropped"},
	{faultKeepsAbsent, "a key that was absent stays so"},
	{faultSlotByUser, "tokens are reused whatever the version of the principal"},
	{faultOldRows, "a rebuild of the policy shares the rows of one that began before"},
	{faultNoWait, "REST answers before its own process obeys"},
	{faultNoMark, "a commit does not say its number to those who wait for it"},
}

const (
	faultNone             simFault = ""
	faultNumbers          simFault = "numbers for names"
	faultNamesAtHead      simFault = "names at the head only"
	faultAnyServer        simFault = "any server"
	faultSkipsRow         simFault = "skipped row"
	faultSplitsNumber     simFault = "split number"
	faultPageToHead       simFault = "page to head"
	faultPruned           simFault = "pruned unseen"
	faultGapIgnored       simFault = "gap ignored"
	faultMarksFirst       simFault = "marked before head"
	faultGapKeepsAccounts simFault = "gap keeps accounts"
	faultGapKeepsSessions simFault = "gap keeps sessions"
	faultGapKeepsPolicy   simFault = "gap keeps policy"
	faultNoCatchUp        simFault = "no catching up"
	faultToldLate         simFault = "cursor before delivery"
	faultCountsOnKind     simFault = "deaf to kinds"
	faultHeadLast         simFault = "head after loads"
	faultNeverPolls       simFault = "no polling"
	faultFailureCounts    simFault = "failure counts as read"
	faultAgeless          simFault = "no age of caches"
	faultPolicyAgeless    simFault = "no age of policy"
	faultWallClock        simFault = "wall clock"
	faultPublishFirst     simFault = "publish before commit"
	faultOutOfOrder       simFault = "out of order"
	faultNoRowForState    simFault = "no row: state"
	faultNoRowForRole     simFault = "no row: role"
	faultNoRowForEndUser  simFault = "no row: user's sessions"
	faultNoRowForKey      simFault = "no row: key"
	faultNoRowForPolicy   simFault = "no row: policy"
	faultNoRowForEpoch    simFault = "no row: epoch"
	faultNoRowForSession  simFault = "no row: session"
	faultVersionStays     simFault = "version stays"
	faultVersionCounts    simFault = "version counts"
	faultGenerationCounts simFault = "generation counts"
	faultEpochCounts      simFault = "epoch counts"
	faultReadsStandby     simFault = "load from standby"
	faultReadsFormer      simFault = "load from former primary"
	faultForgetsEnded     simFault = "ended forgotten"
	faultKeepsFlight      simFault = "flight not voided"
	faultKeepsAbsent      simFault = "stale absence"
	faultSlotByUser       simFault = "token slot by user"
	faultOldRows          simFault = "rows of an older rebuild"
	faultNoWait           simFault = "no wait in REST"
	faultNoMark           simFault = "no mark"
)
