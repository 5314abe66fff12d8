package main

// A simFault is something that is planted into a simulated history and must be found.
type simFault string

// simFaults lists all of them, each with a description.
var simFaults = []struct {
	name simFault
	what string
}{
	{faultEpochCounts, "the epoch of all sessions is a counter"},
	{faultPolicyAgeless, "the age of the policy is not looked at"},
	{faultKeysReadOnce, "signing keys that could not be read are not read again"},
	{faultKeysBeforeHead, "signing keys are read before the head of the feed, and not again"},
	{faultGapKeepsKeys, "a gap does not read the signing keys again"},
	{faultNoRowForSigning, "a change of the signing keys leaves no feed row"},
	{faultGraceless, "the old id of a renewed session reads for ever"},
	{faultRenewalStays, "the grace of a renewed session outlives a later end of all sessions"},
	{faultRenewedLivesOn, "the old id of a renewed session reads although the new one has ended"},
	{faultNoRowForRenewal, "a renewal leaves no feed row"},
	{faultOldRestrictions, "a rebuild of the policy does not read the restrictions"},
	{faultNoRowForRestriction, "a restriction leaves no feed row"},
	{faultNoRowForCut, "the cut of an address leaves no feed row"},
	{faultExpiryIgnored, "the expiry of sessions is not looked at"},
	{faultNoAbsolute, "sessions in use live for ever"},
	{faultLooksAtNonce, "a nonce is looked at first and written later"},
	{faultLooksAtLimit, "a limit is looked at first and written later"},
	{faultOwnClock, "limits go by each caller's clock"},
	{faultOwnClocks, "sessions, tokens, nonces and limits go by each process's clock"},
	{faultComparesOnce, "the difference of the clocks is measured at the start only"},
	{faultWallOffset, "the shared time is the wall clock, less the difference measured last"},
	{faultSlowClockCounts, "the database's time counts as that of the moment when the answer comes"},
	{faultOpensByOwnClock, "sessions are opened by the process's own clock"},
	{faultSlidesByOwnClock, "sessions in use are slid by the process's own clock"},
	{faultTokensByOwnClock, "tokens are minted by the process's own clock"},
	{faultNoncesByOwnClock, "the age of signed requests goes by the process's own clock"},
	{faultSettlesByNumber, "sent events are removed by their numbers"},
	{faultNoLease, "every process sends events"},
	{faultLeaseByOwnClock, "the lease of the sender goes by each process's clock"},
	{faultDeletesFirst, "events are removed before they are sent"},
	{faultOvertakes, "an event that waits for another attempt does not hold back later ones"},
	{faultEmitsAfter, "events are written after the commit that they announce"},
	{faultParksAtOnce, "an event is given up when its first attempt fails"},
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
	{faultMarksFirst, "after a gap the head is read after the held entries were marked"},
	{faultGapKeepsAccounts, "a gap does not void principals and keys"},
	{faultGapKeepsSessions, "a gap does not void sessions and the epoch"},
	{faultGapKeepsPolicy, "a gap does not void the policy"},
	{faultNoCatchUp, "a read counts before the missed changes are caught up with"},
	{faultToldLate, "the cursor moves on before subscribers have the change"},
	{faultDeafToPolicy, "the process does not listen to changes of the policy"},
	{faultDeafToPrincipals, "the process does not listen to changes of principals"},
	{faultDeafToKeys, "the process does not listen to changes of API keys"},
	{faultDeafToSessions, "the process does not listen to ends of sessions"},
	{faultDeafToEpoch, "the process does not listen to ends of everybody's sessions"},
	{faultDeafToSigning, "the process does not listen to changes of the signing keys"},
	{faultUseProlongs, "caches are as old as the last question, not as the last read"},
	{faultFlightOverGap, "a load in flight keeps its result over a gap"},
	{faultServesStale, "an account that is held is given while it is read again"},
	{faultFailsOpen, "an account that cannot be read counts as it did before"},
	{faultEndsInRedis, "a sign-out deletes the session in Redis and nothing else"},
	{faultEndLostWithRedis, "a sign-out does nothing while Redis is away"},
	{faultRenewsEnded, "a renewal does not look whether the session has ended"},
	{faultSlotOfAnyKey, "tokens are reused whatever key signs"},
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
	{faultKeepsFlight, "a load in flight keeps its result although the row was dropped"},
	{faultKeepsAbsent, "a key that was absent stays so"},
	{faultSlotByUser, "tokens are reused whatever the version of the principal"},
	{faultOldRows, "a rebuild of the policy shares the rows of one that began before"},
	{faultNoWait, "REST answers before its own process obeys"},
	{faultNoMark, "a commit does not give its number to waiting callers"},
}

const (
	faultNone                simFault = ""
	faultOwnClocks           simFault = "own clocks"
	faultComparesOnce        simFault = "clocks compared once"
	faultWallOffset          simFault = "wall clock less offset"
	faultSlowClockCounts     simFault = "slow clock counts"
	faultOpensByOwnClock     simFault = "opened by own clock"
	faultSlidesByOwnClock    simFault = "slid by own clock"
	faultTokensByOwnClock    simFault = "minted by own clock"
	faultNoncesByOwnClock    simFault = "nonces by own clock"
	faultSettlesByNumber     simFault = "events settled by number"
	faultNoLease             simFault = "no lease"
	faultLeaseByOwnClock     simFault = "lease by own clock"
	faultDeletesFirst        simFault = "removed before sent"
	faultOvertakes           simFault = "events overtake"
	faultEmitsAfter          simFault = "events after commit"
	faultParksAtOnce         simFault = "given up at once"
	faultKeysReadOnce        simFault = "keys read once"
	faultKeysBeforeHead      simFault = "keys before head"
	faultGapKeepsKeys        simFault = "gap keeps signing keys"
	faultNoRowForSigning     simFault = "no row: signing keys"
	faultGraceless           simFault = "grace without end"
	faultRenewalStays        simFault = "grace outlives ends"
	faultRenewedLivesOn      simFault = "grace outlives sign-out"
	faultNoRowForRenewal     simFault = "no row: renewal"
	faultOldRestrictions     simFault = "restrictions read once"
	faultNoRowForRestriction simFault = "no row: restriction"
	faultNoRowForCut         simFault = "no row: cut"
	faultExpiryIgnored       simFault = "no expiry"
	faultNoAbsolute          simFault = "no absolute lifetime"
	faultLooksAtNonce        simFault = "nonce read, then written"
	faultLooksAtLimit        simFault = "limit read, then written"
	faultOwnClock            simFault = "limits by own clock"
	faultNumbers             simFault = "numbers for names"
	faultNamesAtHead         simFault = "names at the head only"
	faultAnyServer           simFault = "any server"
	faultSkipsRow            simFault = "skipped row"
	faultSplitsNumber        simFault = "split number"
	faultPageToHead          simFault = "page to head"
	faultPruned              simFault = "pruned unseen"
	faultGapIgnored          simFault = "gap ignored"
	faultMarksFirst          simFault = "marked before head"
	faultGapKeepsAccounts    simFault = "gap keeps accounts"
	faultGapKeepsSessions    simFault = "gap keeps sessions"
	faultGapKeepsPolicy      simFault = "gap keeps policy"
	faultNoCatchUp           simFault = "no catching up"
	faultToldLate            simFault = "cursor before delivery"
	faultDeafToPolicy        simFault = "deaf to policy"
	faultDeafToPrincipals    simFault = "deaf to principals"
	faultDeafToKeys          simFault = "deaf to API keys"
	faultDeafToSessions      simFault = "deaf to sign-outs"
	faultDeafToEpoch         simFault = "deaf to the epoch"
	faultDeafToSigning       simFault = "deaf to signing keys"
	faultUseProlongs         simFault = "use prolongs"
	faultFlightOverGap       simFault = "flight over a gap"
	faultServesStale         simFault = "stale while reading"
	faultFailsOpen           simFault = "fails open"
	faultEndsInRedis         simFault = "ends in Redis only"
	faultEndLostWithRedis    simFault = "ends lost with Redis"
	faultRenewsEnded         simFault = "renews an ended session"
	faultSlotOfAnyKey        simFault = "token slot of any key"
	faultHeadLast            simFault = "head after loads"
	faultNeverPolls          simFault = "no polling"
	faultFailureCounts       simFault = "failure counts as read"
	faultAgeless             simFault = "no age of caches"
	faultPolicyAgeless       simFault = "no age of policy"
	faultWallClock           simFault = "wall clock"
	faultPublishFirst        simFault = "publish before commit"
	faultOutOfOrder          simFault = "out of order"
	faultNoRowForState       simFault = "no row: state"
	faultNoRowForRole        simFault = "no row: role"
	faultNoRowForEndUser     simFault = "no row: user's sessions"
	faultNoRowForKey         simFault = "no row: key"
	faultNoRowForPolicy      simFault = "no row: policy"
	faultNoRowForEpoch       simFault = "no row: epoch"
	faultNoRowForSession     simFault = "no row: session"
	faultVersionStays        simFault = "version stays"
	faultVersionCounts       simFault = "version counts"
	faultGenerationCounts    simFault = "generation counts"
	faultEpochCounts         simFault = "epoch counts"
	faultReadsStandby        simFault = "load from standby"
	faultReadsFormer         simFault = "load from former primary"
	faultForgetsEnded        simFault = "ended forgotten"
	faultKeepsFlight         simFault = "flight not voided"
	faultKeepsAbsent         simFault = "stale absence"
	faultSlotByUser          simFault = "token slot by user"
	faultOldRows             simFault = "rows of an older rebuild"
	faultNoWait              simFault = "no wait in REST"
	faultNoMark              simFault = "no mark"
)
