/** What a transaction is to those who use the layer: a number. */

/**
 * A transaction of one layer: its place there, a whole number from 0 to less than {@linkcode TransactionLayer.capacity}, so
 * that users can keep columns of their own. After {@linkcode TransactionUser.terminated} the number is used for another
 * transaction: whoever may hold on to it longer compares {@linkcode TransactionLayer.serialOf}.
 */
export type TransactionId = number;

/** No transaction. */
export const NO_TRANSACTION: TransactionId = -1;

/** Places in `MACHINES`. */
export const INVITE_CLIENT_KIND = 0;
export const NON_INVITE_CLIENT_KIND = 1;
export const INVITE_SERVER_KIND = 2;
export const NON_INVITE_SERVER_KIND = 3;
